"""A run knows which versions were part of its prompt; like all that went in, that never changes."""

from django.db import migrations, models

RULES = """
CREATE OR REPLACE FUNCTION runs_payload_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (TG_OP = 'DELETE'
        OR ({old}) IS DISTINCT FROM ({new})
        OR EXISTS (SELECT FROM runs_run WHERE id = OLD.run_id AND status NOT IN ('queued', 'running')))
       AND NOT runs_is_owner(TG_RELID) THEN
        RAISE EXCEPTION '% on % is refused: what ended does not change', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
"""


def rules(*columns: str) -> str:
    """The trigger's function, by which these columns never change."""
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return RULES.format(old=old, new=new)


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_rules")]
    operations = [
        migrations.AddField(
            model_name="runpayload",
            name="includes",
            field=models.JSONField(
                default=list, verbose_name="versions that were part of the prompt: {reference, prompt, version, label}"
            ),
        ),
        migrations.RunSQL(
            rules("variables", "messages", "parameters", "includes"), rules("variables", "messages", "parameters")
        ),
    ]
