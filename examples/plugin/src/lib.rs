//! A plugin. Nobody calls anything here: being linked is enough, the attributes do the rest.

use extensions::prelude::*;
use plugin_api::ShippingQuoted;

/// Carries anything up to 30 kg, anywhere.
#[extension_handler(ShippingQuoted)]
fn parcel_post(parcel: &ShippingQuoted) -> Option<u64> {
    (parcel.grams <= 30_000).then(|| 490 + parcel.grams / 10)
}

/// Is quick and dear, and goes to its neighbours only.
#[extension_handler(ShippingQuoted, priority = 50, tags = ["express"])]
struct ExpressCourier;

impl Handler<ShippingQuoted> for ExpressCourier {
    fn handle(&self, parcel: &mut ShippingQuoted, _cx: &Context) -> HandlerResult<Option<u64>> {
        let near = ["DE", "NL", "BE", "LU"].contains(&parcel.country.as_str());
        Ok(near.then(|| 1_290 + parcel.grams / 4))
    }
}
