"""Where the frames that are scored come from: models, servers, folders of videos."""
