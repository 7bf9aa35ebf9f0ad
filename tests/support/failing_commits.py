"""A table whose rows decide what becomes of their commit."""

AT_COMMIT = """
    CREATE TABLE written (n int);
    CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        CASE NEW.n
            WHEN 1 THEN RAISE WARNING 'as a wait for a standby that is cancelled does';
            WHEN 2 THEN PERFORM pg_sleep(30);
            WHEN 3 THEN RAISE check_violation;
            WHEN 4 THEN RAISE serialization_failure;
            ELSE NULL;
        END CASE;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON written DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION at_commit();
"""
WARNS, SLEEPS, VIOLATES, CONFLICTS, PASSES = 1, 2, 3, 4, 5
