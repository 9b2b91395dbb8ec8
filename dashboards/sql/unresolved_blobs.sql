-- Blobs that were not verified, by outcome and by what is known of them.
SELECT status, detail, count(*) AS blobs
FROM unresolved_blobs
GROUP BY status, detail
ORDER BY blobs DESC, status, detail NULLS LAST;
