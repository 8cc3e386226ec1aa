terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}

variable "endpoint" {}

variable "tag" {
  default = "one"
}

variable "media_type" {
  default = "video/h264"
}

provider "aws" {
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true
  endpoints {
    s3           = var.endpoint
    kinesisvideo = var.endpoint
    cloudwatch   = var.endpoint
  }
}

resource "aws_kinesis_video_stream" "camera" {
  name                    = "terraform-camera"
  data_retention_in_hours = 24
  media_type              = var.media_type
  device_name             = "front"
  tags                    = { site = var.tag }
}

resource "aws_cloudwatch_metric_alarm" "footage" {
  alarm_name          = "terraform-footage"
  namespace           = "AWS/KinesisVideo"
  metric_name         = "PutMedia.IncomingFragments"
  dimensions          = { StreamName = aws_kinesis_video_stream.camera.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  tags                = { site = var.tag }
}

# What a bucket for footage has, and what else a bucket can have.
resource "aws_s3_bucket" "footage" {
  bucket              = "terraform-footage"
  object_lock_enabled = true
  force_destroy       = true
  tags                = { site = var.tag }
}

resource "aws_s3_bucket_versioning" "footage" {
  bucket = aws_s3_bucket.footage.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "footage" {
  bucket = aws_s3_bucket.footage.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = "arn:aws:kms:eu-west-1:123456789012:key/footage"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "footage" {
  bucket                  = aws_s3_bucket.footage.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "footage" {
  bucket = aws_s3_bucket.footage.id
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_lifecycle_configuration" "footage" {
  bucket = aws_s3_bucket.footage.id
  rule {
    id     = "abort"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload { days_after_initiation = 7 }
  }
  rule {
    id     = "cold"
    status = "Enabled"
    filter { prefix = "archive/" }
    transition {
      days          = 30
      storage_class = "GLACIER_IR"
    }
    noncurrent_version_expiration { noncurrent_days = 90 }
  }
}

resource "aws_s3_bucket_policy" "footage" {
  bucket = aws_s3_bucket.footage.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.footage.arn, "${aws_s3_bucket.footage.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_s3_bucket_object_lock_configuration" "footage" {
  bucket = aws_s3_bucket.footage.id
  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = 1
    }
  }
}

resource "aws_s3_bucket_notification" "footage" {
  bucket      = aws_s3_bucket.footage.id
  eventbridge = true
}

resource "aws_s3_bucket_logging" "footage" {
  bucket        = aws_s3_bucket.footage.id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "log/"
}

resource "aws_s3_bucket" "logs" {
  bucket        = "terraform-logs"
  force_destroy = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule { object_ownership = "BucketOwnerPreferred" }
}

resource "aws_s3_bucket_acl" "logs" {
  depends_on = [aws_s3_bucket_ownership_controls.logs]
  bucket     = aws_s3_bucket.logs.id
  acl        = "log-delivery-write"
}

resource "aws_s3_bucket_cors_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  cors_rule {
    allowed_methods = ["GET"]
    allowed_origins = ["https://example.org"]
  }
}

resource "aws_s3_bucket_website_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  index_document { suffix = "index.html" }
}

resource "aws_s3_object" "note" {
  bucket   = aws_s3_bucket.logs.id
  key      = "note é.txt"
  content  = "hello"
  metadata = { author = "terraform" }
  tags     = { site = var.tag }
}
