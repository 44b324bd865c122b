"""Human pose estimation: joints of persons in MPII's form."""
