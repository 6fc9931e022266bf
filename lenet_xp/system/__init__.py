"""What any program needs of the system beneath it; knows no letter and no network."""
