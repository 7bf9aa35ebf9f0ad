-- After a restore to a point in time, before anything starts: what was read or led before is of another past.
UPDATE public.change_counter SET version = extract(epoch FROM clock_timestamp())
WHERE name IN ('generation', 'leader', 'courier');
