-- Whether what came in was paid out or is held, for every epoch, vault and token: the difference is zero.
SELECT epoch, vault, token, revenue, credited, held, rounding, difference
FROM epoch_conservation
ORDER BY epoch, vault, token;
