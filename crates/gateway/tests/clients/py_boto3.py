"""boto3 as its documentation uses it: a bucket, a small object, one of several parts, and what they hold; then all of it goes.

Prints one line of JSON: whether each thing came back as it went, or the error's code and message. With a third argument, `s3.localhost:8470`,
each bucket stands before that host, and every name under `localhost` is this host.
"""
import hashlib
import json
import socket
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

bucket, large = sys.argv[1:3]
if sys.argv[3:]:
    resolve = socket.getaddrinfo

    def here(name, *rest, **more):
        return resolve("127.0.0.1" if str(name).endswith(".localhost") else name, *rest, **more)

    socket.getaddrinfo = here
    s3 = boto3.client("s3", endpoint_url=f"http://{sys.argv[3]}", config=Config(s3={"addressing_style": "virtual"}))
else:
    s3 = boto3.client("s3")
said = {"ok": True}
try:
    region = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=region)
    s3.put_object(Bucket=bucket, Key="small.txt", Body=b"hello", ContentType="text/plain", Metadata={"made-by": "boto3"})
    small = s3.get_object(Bucket=bucket, Key="small.txt")
    said["small"] = small["Body"].read().decode()
    said["metadata"] = small["Metadata"]
    s3.upload_file(large, bucket, "large.bin")
    held = s3.get_object(Bucket=bucket, Key="large.bin")["Body"].read()
    with open(large, "rb") as file:
        said["large"] = hashlib.sha256(held).digest() == hashlib.sha256(file.read()).digest()
    said["parts"] = s3.head_object(Bucket=bucket, Key="large.bin")["ETag"].strip('"').split("-")[-1]
    listed = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    said["keys"] = [entry["Key"] for page in listed for entry in page["Contents"]]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in said["keys"]]})
    s3.delete_bucket(Bucket=bucket)
except ClientError as error:
    said = {"ok": False, "code": error.response["Error"]["Code"], "message": str(error)}
print(json.dumps(said))
