"""The pages of people and projects."""

from django.urls import path

from promptops.accounts.views import profile, project_home, projects, signing_in

app_name = "accounts"
urlpatterns = [
    path("", projects.home, name="home"),
    path("sign-in/", signing_in.sign_in, name="sign-in"),
    path("sign-out/", signing_in.sign_out, name="sign-out"),
    path("link/<str:secret>/", signing_in.link, name="link"),
    path("profile/", profile.profile, name="profile"),
    path("profile/password/", profile.change_password, name="password"),
    path("profile/sign-out-elsewhere/", profile.sign_out_elsewhere, name="sign-out-elsewhere"),
    path("projects/", projects.project_list, name="projects"),
    path("projects/new/", projects.project_create, name="project-create"),
    path("project-switcher/", projects.project_switcher, name="project-switcher"),
    path("p/<slug:project_slug>/", project_home.project_home, name="project-home"),
]
