"""The change feed also watches whether a person is active: a token counts as whoever made it."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION accounts_note_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core_change (project_id) SELECT project_id FROM accounts_membership WHERE user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_user_change AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION accounts_note_person();
"""
BACKWARDS = """
DROP TRIGGER accounts_user_change ON accounts_user;
DROP FUNCTION accounts_note_person();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_session_epoch"), ("core", "0001_change_feed")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
