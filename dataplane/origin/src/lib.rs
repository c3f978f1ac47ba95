//! The built-in web origin and OpenAI-shaped model server.
