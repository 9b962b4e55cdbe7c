"""The pages of runs."""

from django.urls import path

from promptops.runs.views import batches, detail, home, interactive, listing

app_name = "runs"
PROJECT = "p/<slug:project_slug>/"
RUNS = f"{PROJECT}runs/"
RUN = f"{RUNS}<uuid:run_id>/"
BATCHES = f"{RUNS}batches/"
BATCH = f"{BATCHES}<uuid:batch_id>/"

urlpatterns = [
    path(RUNS, listing.run_list, name="list"),
    path(f"{RUNS}csv/", listing.run_list_csv, name="list-csv"),
    path(f"{RUNS}home-panel/", home.home_panel, name="home-panel"),
    path(f"{PROJECT}prompts/<slug:slug>/runs/", listing.prompt_runs, name="prompt-runs"),
    path(BATCHES, batches.batch_list, name="batch-list"),
    path(f"{BATCHES}csv/", batches.batch_list_csv, name="batch-list-csv"),
    path(BATCH, batches.batch_detail, name="batch-detail"),
    path(f"{BATCH}pause/", batches.batch_pause, name="batch-pause"),
    path(f"{BATCH}resume/", batches.batch_resume, name="batch-resume"),
    path(f"{BATCH}cancel/", batches.batch_cancel, name="batch-cancel"),
    path(f"{RUNS}start/", interactive.start, name="start"),
    path(f"{RUNS}stream/", interactive.stream, name="stream"),
    path(f"{RUNS}recent-panel/", interactive.recent_panel, name="recent-panel"),
    path(f"{PROJECT}prompts/<slug:slug>/callers-panel/", home.callers_panel, name="callers-panel"),
    path(RUN, detail.detail, name="detail"),
    path(f"{RUN}panel/", interactive.panel, name="panel"),
    path(f"{RUN}cancel/", interactive.cancel, name="cancel"),
    path(f"{RUN}replay/", detail.replay, name="replay"),
    path(f"{RUN}edit/", detail.edit_from, name="edit-from"),
]
