"""The pages of prompts. Whatever stands where a slug could is in ``services.prompts.RESERVED_SLUGS``."""

from django.urls import path

from promptops.prompts.views import drafting, editor, home, labels, listing, settings, versions

app_name = "prompts"
PROJECT = "p/<slug:project_slug>/prompts/"
PROMPT = f"{PROJECT}<slug:slug>/"

urlpatterns = [
    path(PROJECT, listing.prompt_list, name="list"),
    path(f"{PROJECT}csv/", listing.prompt_list_csv, name="list-csv"),
    path(f"{PROJECT}search/", listing.search, name="search"),
    path(f"{PROJECT}includable/", listing.includable, name="includable"),
    path(f"{PROJECT}home-panel/", home.home_panel, name="home-panel"),
    path(f"{PROJECT}new/", editor.create, name="create"),
    path(PROMPT, editor.detail, name="detail"),
    path(f"{PROMPT}preview/", editor.preview, name="preview"),
    path(f"{PROMPT}changes/", editor.changes, name="changes"),
    path(f"{PROMPT}draft/", drafting.draft, name="draft"),
    path(f"{PROMPT}save/", drafting.save, name="save"),
    path(f"{PROMPT}discard/", drafting.discard, name="discard"),
    path(f"{PROMPT}bring-back/", drafting.bring_back, name="bring-back"),
    path(f"{PROMPT}rebase/", drafting.rebase, name="rebase"),
    path(f"{PROMPT}versions/", versions.version_list, name="versions"),
    path(f"{PROMPT}versions/csv/", versions.version_list_csv, name="versions-csv"),
    path(f"{PROMPT}versions/<int:number>/", versions.version_detail, name="version-detail"),
    path(f"{PROMPT}versions/<int:number>/edit/", versions.edit_from, name="edit-from"),
    path(f"{PROMPT}diff/", versions.version_diff, name="diff"),
    path(f"{PROMPT}labels/", labels.label_list, name="labels"),
    path(f"{PROMPT}labels/move/", labels.label_move, name="label-move"),
    path(f"{PROMPT}labels/<slug:label>/history/", labels.label_history, name="label-history"),
    path(f"{PROMPT}labels/<slug:label>/history/csv/", labels.label_history_csv, name="label-history-csv"),
    path(f"{PROMPT}labels/<slug:label>/rollback/", labels.label_rollback, name="label-rollback"),
    path(f"{PROMPT}labels/<slug:label>/remove/", labels.label_remove, name="label-remove"),
    path(f"{PROMPT}settings/", settings.prompt_settings, name="settings"),
    path(f"{PROMPT}archive/", settings.archive, name="archive"),
    path(f"{PROMPT}restore/", settings.restore, name="restore"),
]
