"""Sources of scored frames: models, servers, folders of videos."""
