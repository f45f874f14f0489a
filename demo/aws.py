"""The few AWS calls the demo makes, over plain HTTP: nothing to install.

Talks to the simulator only; the signature is a placeholder, because the simulator looks at the access key alone.
"""

import http.client
import json
import urllib.parse


class AwsError(Exception):
    pass


class Aws:
    def __init__(self, url, region="us-east-1", key="DEMO"):
        self.netloc = urllib.parse.urlparse(url).netloc
        self.region = region
        self.key = key
        self.connection = None

    def _request(self, method, path, body, headers, service):
        headers = dict(headers)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/20260101/{self.region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        )
        for last in (False, True):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.netloc, timeout=120)
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.connection = None
                if last:
                    raise

    def dynamodb(self, action, **request):
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{action}", "Content-Type": "application/x-amz-json-1.0"}
        status, body = self._request("POST", "/", json.dumps(request), headers, "dynamodb")
        if status != 200:
            raise AwsError(f"{action}: HTTP {status}: {body[:500].decode(errors='replace')}")
        return json.loads(body)

    def create_bucket(self, bucket):
        status, body = self._request("PUT", f"/{bucket}", "", {}, "s3")
        if status != 200:
            raise AwsError(f"CreateBucket: HTTP {status}: {body[:500].decode(errors='replace')}")

    def simulator(self, path, **request):
        status, body = self._request("POST", f"/_sim/{path}", json.dumps(request), {"Content-Type": "application/json"}, "sim")
        if status != 200:
            raise AwsError(f"/_sim/{path}: HTTP {status}: {body[:500].decode(errors='replace')}")
        return json.loads(body)


def write_batch(aws, table, requests):
    """BatchWriteItem, at most 25 requests, until nothing is left unprocessed."""
    while requests:
        answer = aws.dynamodb("BatchWriteItem", RequestItems={table: requests})
        requests = answer.get("UnprocessedItems", {}).get(table, [])


def scan(aws, table):
    """Every item of the table, as DynamoDB JSON."""
    start = {}
    while True:
        page = aws.dynamodb("Scan", TableName=table, ConsistentRead=True, **start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
