"""When a batch ended is noted, so that it is told once. Batches from before are not told of any more."""

from django.db import migrations, models

OLD_ONES = """
UPDATE runs_batch b SET ended_at = now()
WHERE NOT EXISTS (SELECT FROM runs_run r WHERE r.batch_id = b.id AND r.status IN ('queued', 'running'))
"""


class Migration(migrations.Migration):
    # The update and the index on what it changed: PostgreSQL wants a transaction for each.
    atomic = False
    dependencies = [("runs", "0004_includes")]
    operations = [
        migrations.AddField(
            model_name="batch",
            name="ended_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(OLD_ONES, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(condition=models.Q(("ended_at", None)), fields=["created_at"], name="batch_open"),
        ),
    ]
