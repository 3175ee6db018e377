"""A gRPC server with reflection, in C core: `shop.Orders` has one call of each shape. Prints its port; each call is a line after it."""
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection

FIELD = descriptor_pb2.FieldDescriptorProto
SHAPES = {"Get": (False, False), "List": (False, True), "Talk": (True, True), "Fail": (False, False)}


def described():
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    message = file.message_type.add(name="Order")
    message.field.add(name="id", number=1, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    message.field.add(name="note", number=2, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    service = file.service.add(name="Orders")
    for name, (asks, answers) in SHAPES.items():
        service.method.add(name=name, input_type=".shop.Order", output_type=".shop.Order", client_streaming=asks, server_streaming=answers)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


Order = described()


def told(name, context):
    print(name, dict(context.invocation_metadata()).get("authorization"), flush=True)
    context.set_trailing_metadata((("x-end", name),))


def get(order, context):
    told("Get", context)
    return Order(id=order.id, note="one")


def several(order, context):
    told("List", context)
    for number in range(3):
        yield Order(id=order.id + number, note="some")


def talk(orders, context):
    told("Talk", context)
    for order in orders:
        yield Order(id=order.id * 2)


def fail(_, context):
    told("Fail", context)
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order: 7 %")


def main():
    kinds = {"Get": (grpc.unary_unary_rpc_method_handler, get), "List": (grpc.unary_stream_rpc_method_handler, several),
             "Talk": (grpc.stream_stream_rpc_method_handler, talk), "Fail": (grpc.unary_unary_rpc_method_handler, fail)}
    handlers = {name: make(deed, request_deserializer=Order.FromString, response_serializer=Order.SerializeToString) for name, (make, deed) in kinds.items()}
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", handlers),))
    reflection.enable_server_reflection(("shop.Orders", reflection.SERVICE_NAME), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


main()
