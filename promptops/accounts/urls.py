"""The pages of people and projects."""

from django.urls import path

from promptops.accounts.views import (
    audit_log,
    invitations,
    members,
    profile,
    project_home,
    project_settings,
    projects,
    signing_in,
    tokens,
)

PROJECT = "p/<slug:project_slug>/"
SETTINGS = f"{PROJECT}settings/"
MEMBERS = f"{SETTINGS}members/"
MEMBER = f"{MEMBERS}<int:member_id>/"
TOKENS = f"{SETTINGS}tokens/"

app_name = "accounts"
urlpatterns = [
    path("", projects.home, name="home"),
    path("sign-in/", signing_in.sign_in, name="sign-in"),
    path("sign-out/", signing_in.sign_out, name="sign-out"),
    path("link/<str:secret>/", signing_in.link, name="link"),
    path("invitations/<str:secret>/", invitations.invitation, name="invitation"),
    path("profile/", profile.profile, name="profile"),
    path("profile/password/", profile.change_password, name="password"),
    path("profile/sign-out-elsewhere/", profile.sign_out_elsewhere, name="sign-out-elsewhere"),
    path("projects/", projects.project_list, name="projects"),
    path("projects/new/", projects.project_create, name="project-create"),
    path("project-switcher/", projects.project_switcher, name="project-switcher"),
    path(PROJECT, project_home.project_home, name="project-home"),
    path(SETTINGS, project_settings.project_settings, name="project-settings"),
    path(MEMBERS, members.member_list, name="members"),
    path(f"{MEMBERS}csv/", members.member_list_csv, name="members-csv"),
    path(f"{MEMBERS}invite/", members.invite, name="invite"),
    path(f"{MEMBERS}invitations/<int:invitation_id>/revoke/", members.invitation_revoke, name="invitation-revoke"),
    path(MEMBER, members.member, name="member"),
    path(f"{MEMBER}role/", members.member_role, name="member-role"),
    path(f"{MEMBER}remove/", members.member_remove, name="member-remove"),
    path(f"{MEMBER}hand-over/", members.member_hand_over, name="member-hand-over"),
    path(f"{MEMBER}link/", members.member_link, name="member-link"),
    path(TOKENS, tokens.token_list, name="tokens"),
    path(f"{TOKENS}csv/", tokens.token_list_csv, name="tokens-csv"),
    path(f"{TOKENS}new/", tokens.token_create, name="token-create"),
    path(f"{TOKENS}<int:token_id>/revoke/", tokens.token_revoke, name="token-revoke"),
    path(f"{PROJECT}audit/", audit_log.audit_log, name="audit"),
    path(f"{PROJECT}audit/csv/", audit_log.audit_csv, name="audit-csv"),
    path(f"{PROJECT}audit/verify/", audit_log.audit_verify, name="audit-verify"),
]
