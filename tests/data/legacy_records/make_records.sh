#!/bin/sh
# Makes the records in this folder with a legacy TensorFlow and its own networks.
#
#   sh tests/data/legacy_records/make_records.sh PYTHON LEGACY
#
# PYTHON is the interpreter that has TensorFlow 1.15; LEGACY is a folder that holds a slim_v1
# checkpoint, its inference.meta and its frozen.pb.
set -eu
python=$1
legacy=$2
here=$(cd "$(dirname "$0")" && pwd)
recorder=$here/../../../tools/record_legacy.py

record() {  # record NET NAME OPTION...
    net=$1 name=$2
    shift 2
    module=tensorflow.contrib.slim.nets.${net%_*}
    "$python" "$recorder" --builder "$module:$net" --arg-scope "$module:resnet_arg_scope" \
        --output "$here/$name.npz" "$@"
}

for version in v1 v2; do
    fifty=resnet_${version}_50
    record $fifty $fifty --kwargs '{"num_classes": 1000, "is_training": false}' \
        --image-size 64x64 --image-size 97x65 --image-size 224x224 --batch-size 1
    for depth in 101 152 200; do
        record resnet_${version}_$depth resnet_${version}_$depth \
            --kwargs '{"num_classes": 1000, "is_training": false}' \
            --image-size 64x64 --image-size 33x47 --dtype float64 --samples 32
    done
    for stride in 8 16; do
        dense='"num_classes": 21, "is_training": false, "global_pool": false'
        record $fifty ${fifty}_os$stride --kwargs "{$dense, \"output_stride\": $stride}" \
            --image-size 65x65 --image-size 64x48
    done
    record $fifty ${fifty}_train --kwargs '{"num_classes": 1000}' --training \
        --image-size 64x64 --image-size 33x47 --batch-size 4
done

"$python" "$recorder" --meta "$legacy/slim_v1/inference.meta" \
    --checkpoint "$legacy/slim_v1/v2/model.ckpt-60" --output "$here/slim_v1_meta.npz"
"$python" "$recorder" --frozen "$legacy/slim_v1/frozen.pb" --input images:0 \
    --output "$here/slim_v1_frozen.npz"
