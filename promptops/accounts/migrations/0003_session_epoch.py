"""A number by which a person can end every session."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_watched")]
    operations = [
        migrations.AddField(model_name="user", name="session_epoch", field=models.PositiveIntegerField(default=0)),
    ]
