"""Backups: the whole database in one encrypted file, and back; never the key that the keys are wrapped under."""
