"""The pages of models and credentials, below a project."""

from django.urls import include, path

from promptops.catalog.views import credentials, endpoint_forms, endpoints

app_name = "catalog"
models = [
    path("", endpoints.endpoint_list, name="endpoint-list"),
    path("models.csv", endpoints.endpoint_list_csv, name="endpoint-list-csv"),
    path("new/", endpoint_forms.endpoint_create, name="endpoint-create"),
    path("<str:slug>/", endpoints.endpoint_detail, name="endpoint-detail"),
    path("<str:slug>/edit/", endpoint_forms.endpoint_edit, name="endpoint-edit"),
    path("<str:slug>/archive/", endpoints.endpoint_archive, name="endpoint-archive"),
    path("<str:slug>/restore/", endpoints.endpoint_restore, name="endpoint-restore"),
    path("<str:slug>/default/", endpoints.endpoint_default, name="endpoint-default"),
    path("<str:slug>/refresh-price/", endpoints.endpoint_refresh_price, name="endpoint-refresh-price"),
]
settings = [
    path("", credentials.credential_list, name="credential-list"),
    path("credentials.csv", credentials.credential_list_csv, name="credential-list-csv"),
    path("new/", credentials.credential_create, name="credential-create"),
    path("<int:pk>/", credentials.credential_edit, name="credential-edit"),
    path("<int:pk>/archive/", credentials.credential_archive, name="credential-archive"),
    path("<int:pk>/test/", credentials.credential_test, name="credential-test"),
]
urlpatterns = [
    path("p/<slug:project_slug>/models/", include(models)),
    path("p/<slug:project_slug>/settings/credentials/", include(settings)),
]
