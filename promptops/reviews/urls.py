"""The pages of change requests and of the rules of review."""

from django.urls import path

from promptops.reviews.views import acting, detail, listing, policies, proposing, rebasing

app_name = "reviews"
PROJECT = "p/<slug:project_slug>/"
CHANGES = f"{PROJECT}changes/"
CHANGE = f"{CHANGES}<int:number>/"
SETTINGS = f"{PROJECT}settings/review/"

urlpatterns = [
    path(CHANGES, listing.change_list, name="list"),
    path(f"{CHANGES}csv/", listing.change_list_csv, name="list-csv"),
    path(f"{CHANGES}home-panel/", listing.home_panel, name="home-panel"),
    path(f"{PROJECT}prompts/<slug:slug>/propose/", proposing.propose, name="propose"),
    path(CHANGE, detail.detail, name="detail"),
    path(f"{CHANGE}messages/<int:place>/", detail.message_lines, name="message"),
    path(f"{CHANGE}edit/", proposing.edit, name="edit"),
    path(f"{CHANGE}comment/", acting.comment, name="comment"),
    path(f"{CHANGE}comments/<int:comment_id>/resolve/", acting.resolve, name="resolve"),
    path(f"{CHANGE}comments/<int:comment_id>/unresolve/", acting.unresolve, name="unresolve"),
    path(f"{CHANGE}comments/<int:comment_id>/apply/", acting.apply, name="apply"),
    path(f"{CHANGE}verdict/", acting.verdict, name="verdict"),
    path(f"{CHANGE}dismiss/", acting.dismiss, name="dismiss"),
    path(f"{CHANGE}merge/", acting.merge, name="merge"),
    path(f"{CHANGE}rebase/", rebasing.rebase, name="rebase"),
    path(f"{CHANGE}amend/", acting.amend, name="amend"),
    path(f"{CHANGE}request-review/", acting.request_review, name="request-review"),
    path(f"{CHANGE}withdraw/", acting.withdraw, name="withdraw"),
    path(f"{CHANGE}reject/", acting.reject, name="reject"),
    path(f"{CHANGE}reopen/", acting.reopen, name="reopen"),
    path(f"{CHANGE}break-glass/", acting.break_glass, name="break-glass"),
    path(SETTINGS, policies.policies, name="policies"),
    path(f"{SETTINGS}labels/", policies.policy_set, name="policy-set"),
    path(f"{SETTINGS}labels/<int:policy_id>/remove/", policies.policy_remove, name="policy-remove"),
    path(f"{SETTINGS}owners/", policies.owners_set, name="owners-set"),
]
