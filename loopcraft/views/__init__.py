"""Pictures of an episode: contact sheets, the map of its walk, videos with what goes on beside."""
