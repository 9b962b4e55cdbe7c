import psycopg
import pytest
from django.db import connection

from tests import services


@pytest.mark.django_db
def test_it_uses_the_application_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        user, name = cursor.fetchone()
    assert user == "promptops_app"
    assert name.startswith("test_")


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["CREATE TABLE t (id int)", "TRUNCATE django_session", "DROP TABLE django_session"])
def test_it_refuses_the_application_to_change_the_schema(statement, session_directory, database_name) -> None:
    with services.role(session_directory, database_name) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)
