"""Champion against challenger: non-inferiority over verification sets, with intervals and margins."""
