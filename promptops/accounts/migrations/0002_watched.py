"""The change feed watches what the token cache holds."""

from django.db import migrations

from promptops.core.changes import watch_sql


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("core", "0001_change_feed")]
    operations = [
        migrations.RunSQL(
            *watch_sql("accounts_apitoken", columns=["role", "scopes", "expires_at", "revoked_at"]),
        ),
        migrations.RunSQL(*watch_sql("accounts_membership")),
        migrations.RunSQL(*watch_sql("accounts_project", project_column="id")),
    ]
