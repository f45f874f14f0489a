from tinybird_sdk import define_dynamodb_connection, secret

orders_dynamo = define_dynamodb_connection("my_ddb", {"region": "us-east-1", "arn": secret("dynamodb_role_arn_my_ddb")})
