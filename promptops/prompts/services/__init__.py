"""Every write on prompts. Each checks the policy, mutates and audits in one transaction, and names its actor."""

from promptops.prompts.services.drafts import (
    StaleDraft,
    commit_draft,
    discard_draft,
    open_draft,
    rebase_draft,
    save_draft,
    start_draft,
)
from promptops.prompts.services.labels import lock_label, move_label, release_label, remove_label, rollback_label
from promptops.prompts.services.prompts import (
    archive_prompt,
    create_prompt,
    restore_prompt,
    update_prompt,
)
from promptops.prompts.services.versions import create_version, store_spec

__all__ = [
    "StaleDraft",
    "archive_prompt",
    "commit_draft",
    "create_prompt",
    "create_version",
    "discard_draft",
    "lock_label",
    "move_label",
    "open_draft",
    "rebase_draft",
    "release_label",
    "remove_label",
    "restore_prompt",
    "rollback_label",
    "save_draft",
    "start_draft",
    "store_spec",
    "update_prompt",
]
