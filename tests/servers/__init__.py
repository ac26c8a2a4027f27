"""Real servers for tests: emulators of AWS that no one here wrote, and a bad server of ours. All on loopback."""
