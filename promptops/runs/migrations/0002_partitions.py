"""The partitions: one a month, made ahead, and one for whatever no month covers, so that an insert never fails."""

from django.db import migrations

FORWARDS = """
CREATE TABLE runs_run_default PARTITION OF runs_run DEFAULT;
CREATE TABLE runs_runpayload_default PARTITION OF runs_runpayload DEFAULT;
CREATE TABLE runs_attempt_default PARTITION OF runs_attempt DEFAULT;

-- The lowest UUID whose first 48 bits are that moment's milliseconds (RFC 9562, section 5.7).
CREATE FUNCTION runs_uuid_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- With the owner's rights: the application's role has no DDL. The new table is filled from the default partition
-- (rows can be there when nobody called this in time) and then attached: attaching takes no lock on the parent that
-- readers or writers of other partitions would wait for. One caller at a time.
CREATE FUNCTION runs_ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    tables CONSTANT text[] := ARRAY['runs_run', 'runs_runpayload', 'runs_attempt'];
    keys CONSTANT text[] := ARRAY['id', 'run_id', 'run_id'];
    this_month CONSTANT timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
    partition text;
    lower_bound uuid;
    upper_bound uuid;
    made integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months_ahead must be 0 to 24';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('runs_ensure_partitions'));
    FOR step IN 0..months_ahead LOOP
        month := this_month + make_interval(months => step);
        lower_bound := runs_uuid_floor(month AT TIME ZONE 'UTC');
        upper_bound := runs_uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC');
        FOR place IN 1..array_length(tables, 1) LOOP
            partition := format('%s_%s', tables[place], to_char(month, 'YYYY_MM'));
            CONTINUE WHEN to_regclass(partition) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                partition, tables[place]);
            -- Keeps writers out of the default partition between the move and the attachment.
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', tables[place] || '_default');
            EXECUTE format(
                'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *) '
                'INSERT INTO %5$I SELECT * FROM moved',
                tables[place] || '_default', keys[place], lower_bound, upper_bound, partition);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                tables[place], partition, lower_bound, upper_bound);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION runs_ensure_partitions(integer) FROM PUBLIC;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'promptops_app') THEN
        GRANT EXECUTE ON FUNCTION runs_ensure_partitions(integer) TO promptops_app;
    END IF;
END $$;
SELECT runs_ensure_partitions(3);
"""

BACKWARDS = """
DROP FUNCTION runs_ensure_partitions(integer);
DROP FUNCTION runs_uuid_floor(timestamptz);
DO $$ DECLARE partition regclass; BEGIN
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent IN ('runs_run'::regclass, 'runs_runpayload'::regclass, 'runs_attempt'::regclass)
    LOOP EXECUTE format('DROP TABLE %s', partition); END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
