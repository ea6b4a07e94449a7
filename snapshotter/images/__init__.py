"""Reference -> manifest -> layers -> index: found, checked, or made."""
