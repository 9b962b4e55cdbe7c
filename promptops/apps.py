from django.apps import AppConfig


class PromptOpsConfig(AppConfig):
    """The composition root as an app: it carries the management commands and the start-up checks."""

    name = "promptops"
    label = "promptops"
    verbose_name = "PromptOps"

    def ready(self) -> None:
        from promptops import checks  # noqa: F401  (importing registers them)
