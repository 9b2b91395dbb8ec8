-- How far references and bytes of blobs were verified.
SELECT status, level, data_level, trust, count(*) AS blobs, sum(payload_bytes) AS bytes
FROM blobs
GROUP BY status, level, data_level, trust
ORDER BY status, level NULLS LAST, data_level NULLS LAST, trust;
