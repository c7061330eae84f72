-- Uploads are folders in the upload area (storage/uploads.py); this table never held one.

drop table uploads;
