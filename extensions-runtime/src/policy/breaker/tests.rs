mod model;
mod properties;
mod transitions;
