"""The runtime: runs are started, asked, told and operated here."""
