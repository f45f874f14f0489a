//! The policies as something to run.

use serde_json::json;

use super::policy::{Policies, pretty};

/// Name of the policy that is attached to the role.
const POLICY_NAME: &str = "dynamirror-access";

/// A shell script; JSON of policies has no single quote.
pub(crate) fn cli(policies: &Policies, role: &str) -> String {
    let (access, trust) = (pretty(&policies.access), pretty(&policies.trust));
    format!(
        "#!/bin/sh
# Makes the role, or changes it if it is there, and prints its ARN.
set -eu

trust_policy='{trust}'

access_policy='{access}'

aws iam create-role --role-name {role} --assume-role-policy-document \"$trust_policy\" > /dev/null 2>&1 ||
    aws iam update-assume-role-policy --role-name {role} --policy-document \"$trust_policy\"
aws iam put-role-policy --role-name {role} --policy-name {POLICY_NAME} --policy-document \"$access_policy\"
aws iam get-role --role-name {role} --query Role.Arn --output text"
    )
}

/// Terraform takes JSON in a heredoc; `${{` and `%{{` are its own and are in no policy.
pub(crate) fn terraform(policies: &Policies, role: &str) -> String {
    let (access, trust) = (pretty(&policies.access), pretty(&policies.trust));
    format!(
        "resource \"aws_iam_role\" \"dynamirror\" {{
  name               = \"{role}\"
  assume_role_policy = <<POLICY
{trust}
POLICY
}}

resource \"aws_iam_role_policy\" \"dynamirror\" {{
  name   = \"{POLICY_NAME}\"
  role   = aws_iam_role.dynamirror.id
  policy = <<POLICY
{access}
POLICY
}}

output \"dynamirror_role_arn\" {{
  value = aws_iam_role.dynamirror.arn
}}"
    )
}

/// A template in JSON.
pub(crate) fn cloudformation(policies: &Policies, role: &str) -> String {
    pretty(&json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role that Dynamirror assumes",
        "Resources": {
            "DynamirrorRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": role,
                    "AssumeRolePolicyDocument": policies.trust,
                    "Policies": [{
                        "PolicyName": POLICY_NAME,
                        "PolicyDocument": policies.access,
                    }],
                },
            },
        },
        "Outputs": {
            "RoleArn": { "Value": { "Fn::GetAtt": ["DynamirrorRole", "Arn"] } },
        },
    }))
}
