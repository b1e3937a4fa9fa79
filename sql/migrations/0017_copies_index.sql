-- Copies of a user, and each of them by event as well: whichever of its indexes a copy is looked up by, it is one entry and not all of a user's.

drop index if exists reminder_worker.calendar_copies_user_idx;
create index calendar_copies_user_idx on reminder_worker.calendar_copies (user_id, event_id);
