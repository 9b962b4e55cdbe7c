"""Writes on people, projects and membership. Each checks the policy, mutates, audits, in one transaction."""

from promptops.accounts.services.invitations import (
    accept_invitation,
    create_invitation,
    find_invitation,
    revoke_invitation,
    sign_up_by_invitation,
)
from promptops.accounts.services.members import (
    add_member,
    change_role,
    hand_over,
    remove_member,
)
from promptops.accounts.services.people import (
    change_password,
    change_profile,
    check_password,
    create_user,
    end_sessions,
    password_errors,
    sign_in_by_password,
)
from promptops.accounts.services.projects import (
    create_project,
    update_project,
)
from promptops.accounts.services.sign_in_links import (
    create_member_sign_in_link,
    create_sign_in_link,
    find_sign_in_link,
    redeem_sign_in_link,
)

__all__ = [
    "accept_invitation",
    "add_member",
    "change_password",
    "change_profile",
    "change_role",
    "check_password",
    "create_invitation",
    "create_member_sign_in_link",
    "create_project",
    "create_sign_in_link",
    "create_user",
    "end_sessions",
    "find_invitation",
    "find_sign_in_link",
    "hand_over",
    "password_errors",
    "redeem_sign_in_link",
    "remove_member",
    "revoke_invitation",
    "sign_in_by_password",
    "sign_up_by_invitation",
    "update_project",
]
