"""Versions, specs and the history of labels never change; the change feed watches what `resolve` caches."""

from django.db import migrations

from promptops.core.changes import watch_sql

APPEND_ONLY = ("prompts_promptversion", "prompts_promptspec", "prompts_labelmove")


def append_only_sql(table: str) -> tuple[str, str]:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION core_refuse_change();",
        f"DROP TRIGGER {table}_append_only ON {table};",
    )


# A label points only at a version of its own prompt, in its own project.
SAME_PROMPT = """
CREATE FUNCTION prompts_label_same_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM prompts_prompt p WHERE p.id = NEW.prompt_id AND p.project_id = NEW.project_id)
       OR (NEW.version_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM prompts_promptversion v WHERE v.id = NEW.version_id AND v.prompt_id = NEW.prompt_id)) THEN
        RAISE EXCEPTION 'a label points only at a version of its own prompt' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompts_label_same_prompt BEFORE INSERT OR UPDATE ON prompts_label
    FOR EACH ROW EXECUTE FUNCTION prompts_label_same_prompt();
"""
SAME_PROMPT_BACKWARDS = """
DROP TRIGGER prompts_label_same_prompt ON prompts_label;
DROP FUNCTION prompts_label_same_prompt();
"""


class Migration(migrations.Migration):
    dependencies = [("prompts", "0001_initial"), ("core", "0001_change_feed")]
    operations = [
        *(migrations.RunSQL(*append_only_sql(table)) for table in APPEND_ONLY),
        migrations.RunSQL(SAME_PROMPT, SAME_PROMPT_BACKWARDS),
        migrations.RunSQL(*watch_sql("prompts_prompt")),
        migrations.RunSQL(*watch_sql("prompts_promptslug")),
        migrations.RunSQL(*watch_sql("prompts_label")),
    ]
