"""The pages of runs."""

from django.urls import path

from promptops.runs.views import detail, interactive

app_name = "runs"
PROJECT = "p/<slug:project_slug>/"
RUNS = f"{PROJECT}runs/"
RUN = f"{RUNS}<uuid:run_id>/"

urlpatterns = [
    path(f"{RUNS}start/", interactive.start, name="start"),
    path(f"{RUNS}stream/", interactive.stream, name="stream"),
    path(f"{RUNS}recent-panel/", interactive.recent_panel, name="recent-panel"),
    path(RUN, detail.detail, name="detail"),
    path(f"{RUN}panel/", interactive.panel, name="panel"),
    path(f"{RUN}cancel/", interactive.cancel, name="cancel"),
    path(f"{RUN}replay/", detail.replay, name="replay"),
    path(f"{RUN}edit/", detail.edit_from, name="edit-from"),
]
