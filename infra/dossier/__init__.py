"""The dossier: everything that is held about a person, gathered piece by piece and written as it comes."""
