"""The texts that scripts show. They are translated here and travel in the page, so scripts need no catalogue."""

from __future__ import annotations

from django.utils.translation import gettext as _


def client_strings() -> dict[str, str]:
    """Return key → text in the language of the request; ``{name}`` is filled in by the script."""
    return {**_shell(), **_editor(), **_runs()}


def _shell() -> dict[str, str]:
    return {
        "close": _("Close"),
        "copied": _("Copied"),
        "copy_failed": _("The browser did not allow copying. Select the text and copy it by hand."),
        "confirm_title": _("Are you sure?"),
        "confirm_action": _("Go on"),
        "just_now": _("just now"),
        "palette_go": _("Go to"),
        "palette_do": _("Command"),
        "rows_shown": _("{count} rows"),
        "signed_out": _("You are signed out. Sign in again in another tab, then repeat this; what you typed is kept."),
        "forbidden": _("Your role does not allow this."),
        "not_found": _("This no longer exists. Reload the page."),
        "too_many": _("Too many requests. Wait a little and try again."),
        "server_error": _("The server answered with error {status}. Try again; if it stays, its log says why."),
        "offline": _("The server cannot be reached. Check the connection and try again."),
        "timeout": _("The server took too long to answer. Try again."),
    }


def _editor() -> dict[str, str]:
    return {
        "role": _("Role"),
        "message_number": _("Message {number}"),
        "message_text": _("Text of message {number}"),
        "placeholder_name": _("Name of the placeholder"),
        "placeholder_kind": _("Placeholder"),
        "placeholder_help": _("Takes a list of messages, such as the conversation so far"),
        "use_name": _("Chat prompt whose messages are put in"),
        "use_kind": _("Messages of"),
        "use_help": _("A chat prompt with a label or a version, such as rules@production"),
        "message_hint": _("Write the message…"),
        "text_hint": _("Write the prompt…"),
        "move_up": _("Move message {number} up (Alt+↑)"),
        "move_down": _("Move message {number} down (Alt+↓)"),
        "drag": _("Drag message {number}"),
        "remove_message": _("Remove message {number}"),
        "removed": _("Message removed."),
        "undo": _("Undo"),
        "moved_to": _("Message moved to place {number}"),
        "parts_note": _("This message has parts that are not text; they are kept as they are: {kinds}."),
        "part_text": _("Part {part} of message {number}"),
        "characters": _("{count} characters"),
        "variable_type": _("Type of {name}"),
        "variable_value": _("Value of {name} for the preview and the run"),
        "variable_default": _("Default"),
        "variable_example": _("Example"),
        "variable_description": _("Description"),
        "variable_max_length": _("Longest value (characters)"),
        "variable_required": _("Required"),
        "variable_untrusted": _("Comes from outside (untrusted)"),
        "variable_settings": _("Settings of {name}"),
        "variable_remove": _("Forget {name}, which no message uses"),
        "variable_unused": _("not used"),
        "variable_value_hint": _("A value to try"),
        "line_number": _("Line {line}"),
        "syntax_title": _("Change the syntax to {syntax}?"),
        "syntax_left": _(
            "{count} tags have no counterpart in {syntax}: {tags}. They stay as they are, for you to correct; plain "
            "variables are rewritten."
        ),
        "syntax_changed": _("Tags rewritten for {syntax}: {count}."),
        "kind_title": _("Make it one text?"),
        "kind_loses": _("A text prompt is one text: the messages are joined, and roles, placeholders and pictures go."),
        "kind_changed": _("The messages were joined into one text."),
        "preview_signed_out": _("You are signed out. The preview comes back when you have signed in again."),
        "preview_failed": _("The preview could not be made (error {status}). It is tried again when you type."),
        "preview_offline": _("The server cannot be reached. The preview is made again when you type."),
        "variables_none": _("No variables yet. Type {sample} in a message."),
        "variable_json_error": _("This is not valid JSON: {detail}"),
        "json_error": _("Not valid JSON, line {line}: {detail}"),
        "parameters_none": _("the model's own"),
        "saving": _("Saving…"),
        "saved_at": _("Saved {time}"),
        "unsaved": _("Not saved yet"),
        "offline_kept": _("Offline – kept in this browser"),
        "signed_out_kept": _("Signed out – kept in this browser"),
        "sign_in": _("Sign in again"),
        "settle_failed": _("Not yet: your text could not be saved. It is kept in this browser; see the status above."),
        "save_failed": _("Not saved: {detail}"),
        "restored": _("What you typed before was brought back from this browser."),
        "restore_offer": _("This browser keeps a newer text of {time} that never reached the server."),
        "conflict_title": _("This draft was changed elsewhere"),
        "conflict_mine": _("Your text on this page"),
        "conflict_theirs": _("What is stored"),
        "conflict_keep": _("Keep mine"),
        "conflict_take": _("Take what is stored"),
        "conflict_reload": _("Load the page anew"),
        "conflict_copy": _("Copy mine"),
    }


def _runs() -> dict[str, str]:
    return {
        "run_queued": _("Waiting for a worker"),
        "run_running": _("Running"),
        "run_succeeded": _("Succeeded"),
        "run_failed": _("Failed"),
        "run_cancelled": _("Cancelled"),
        "run_blocked": _("Blocked"),
        "run_cancelling": _("Cancelling…"),
        "run_reconnecting": _("The connection was lost; connecting again…"),
        "run_ended": _("The run has ended: {status}"),
        "milliseconds": _("{count} ms"),
        "seconds": _("{count} s"),
    }
