"""The world `minerl`: real Minecraft 1.11 through MineRL 0.4.4, as the paper used it."""
