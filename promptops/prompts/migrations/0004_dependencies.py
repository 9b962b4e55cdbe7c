"""What versions include. Written with the version and never changed; an include stays inside of its project."""

import importlib

import django.db.models.deletion
from django.db import migrations, models

append_only_sql = importlib.import_module("promptops.prompts.migrations.0002_immutable").append_only_sql

SAME_PROJECT = """
CREATE FUNCTION prompts_dependency_same_project() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM prompts_promptversion v
          JOIN prompts_prompt own ON own.id = v.prompt_id
          JOIN prompts_prompt other ON other.id = NEW.included_id AND other.project_id = own.project_id
         WHERE v.id = NEW.version_id AND (NEW.included_version_id IS NULL OR EXISTS (
               SELECT FROM prompts_promptversion i WHERE i.id = NEW.included_version_id AND i.prompt_id = other.id))
    ) THEN
        RAISE EXCEPTION 'a version includes only prompts of its own project' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompts_dependency_same_project BEFORE INSERT ON prompts_promptdependency
    FOR EACH ROW EXECUTE FUNCTION prompts_dependency_same_project();
"""
SAME_PROJECT_BACKWARDS = """
DROP TRIGGER prompts_dependency_same_project ON prompts_promptdependency;
DROP FUNCTION prompts_dependency_same_project();
"""


class Migration(migrations.Migration):
    dependencies = [("prompts", "0003_move_authorities")]

    operations = [
        migrations.CreateModel(
            name="PromptDependency",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("order", models.PositiveSmallIntegerField()),
                ("label", models.CharField(blank=True, default="", max_length=60)),
                (
                    "included",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="dependents", to="prompts.prompt"
                    ),
                ),
                (
                    "included_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="prompts.promptversion",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dependencies",
                        to="prompts.promptversion",
                    ),
                ),
            ],
            options={
                "verbose_name": "dependency",
                "indexes": [models.Index(fields=["included", "label"], name="dependency_included")],
                "constraints": [
                    models.UniqueConstraint(fields=("version", "order"), name="dependency_order_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("included_version__isnull", True), ("label", ""), _connector="XOR"),
                        name="dependency_version_or_label",
                    ),
                ],
            },
        ),
        migrations.RunSQL(*append_only_sql("prompts_promptdependency")),
        migrations.RunSQL(SAME_PROJECT, SAME_PROJECT_BACKWARDS),
    ]
