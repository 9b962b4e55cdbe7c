"""Every write on change requests. Each checks the policy, mutates and audits in one transaction."""

from promptops.reviews.services.changes import (
    edit_request,
    propose,
    reject,
    reopen,
    replace_candidate,
    request_review,
    withdraw,
)
from promptops.reviews.services.comments import apply_suggestion, comment, resolve_thread, unresolve_thread
from promptops.reviews.services.merging import break_glass, break_glass_label, merge
from promptops.reviews.services.policies import remove_label_policy, set_code_owners, set_label_policy
from promptops.reviews.services.rebasing import MergeConflicts, preview_rebase, rebase
from promptops.reviews.services.verdicts import approve, dismiss, request_changes

__all__ = [
    "MergeConflicts",
    "apply_suggestion",
    "approve",
    "break_glass",
    "break_glass_label",
    "comment",
    "dismiss",
    "edit_request",
    "merge",
    "preview_rebase",
    "propose",
    "rebase",
    "reject",
    "remove_label_policy",
    "reopen",
    "replace_candidate",
    "request_changes",
    "request_review",
    "resolve_thread",
    "set_code_owners",
    "set_label_policy",
    "unresolve_thread",
    "withdraw",
]
