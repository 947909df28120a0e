"""Pictures of an episode: contact sheets, maps of its walk, annotated videos."""
