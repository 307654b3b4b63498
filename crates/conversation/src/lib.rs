//! Every network flow as an asynchronous stream of bytes.
