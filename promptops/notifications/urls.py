"""The inbox of a person, and the webhooks of a project."""

from django.urls import path

from promptops.notifications.views import deliveries, inbox, webhooks

WEBHOOKS = "p/<slug:project_slug>/settings/webhooks/"
WEBHOOK = f"{WEBHOOKS}<int:pk>/"
DELIVERIES = f"{WEBHOOK}deliveries/"
DELIVERY = f"{DELIVERIES}<uuid:delivery_id>/"

app_name = "notifications"
urlpatterns = [
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/count/", inbox.count, name="count"),
    path("inbox/read-all/", inbox.mark_all_read, name="read-all"),
    path("inbox/<int:notification_id>/open/", inbox.open_notification, name="open"),
    path("inbox/<int:notification_id>/read/", inbox.mark_read, name="read"),
    path("inbox/<int:notification_id>/unread/", inbox.mark_unread, name="unread"),
    path("profile/email/", inbox.email_settings, name="email-settings"),
    path(WEBHOOKS, webhooks.webhook_list, name="webhooks"),
    path(f"{WEBHOOKS}new/", webhooks.webhook_create, name="webhook-create"),
    path(WEBHOOK, webhooks.webhook, name="webhook"),
    path(f"{WEBHOOK}rotate/", webhooks.webhook_rotate, name="webhook-rotate"),
    path(f"{WEBHOOK}test/", webhooks.webhook_test, name="webhook-test"),
    path(f"{WEBHOOK}delete/", webhooks.webhook_delete, name="webhook-delete"),
    path(DELIVERIES, deliveries.delivery_list, name="deliveries"),
    path(f"{DELIVERIES}csv/", deliveries.delivery_list_csv, name="deliveries-csv"),
    path(DELIVERY, deliveries.delivery, name="delivery"),
    path(f"{DELIVERY}redeliver/", deliveries.delivery_redeliver, name="redeliver"),
]
