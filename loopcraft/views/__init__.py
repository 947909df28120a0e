"""Pictures of an episode: contact sheets, the map of its walk, preview videos."""
