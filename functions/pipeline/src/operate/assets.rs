//! Assets added by the operator: a Stellar asset contract's id is a hash of network and asset, so its asset can be
//! known before its instance row is seen, or without it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use stellar_xdr::{AccountId, Asset, PublicKey, Uint256};

use crate::config::Config;
use crate::contract::asset::{asset_type, credit};
use crate::database::settings::Settings;
use crate::database::{begin, commit, connect, get};
use crate::error::{DatabaseContext, Error, Result};

/// A Stellar asset contract and its asset.
#[derive(Debug, Clone, Serialize)]
pub struct KnownAsset {
    /// Strkey of the contract.
    pub contract_id: String,
    /// `native`, `credit_alphanum4` or `credit_alphanum12`.
    pub asset_type: String,
    /// The code; none for native.
    pub asset_code: Option<String>,
    /// The issuer; none for native.
    pub asset_issuer: Option<String>,
    /// `network`, `instance` or `derived`.
    pub learnt_from: String,
    /// When the asset was learnt.
    pub learnt_at: DateTime<Utc>,
}

/// Adds assets given as `CODE:ISSUER`; the balances of their contracts show them at once. Known assets stay unchanged.
/// Returns the given assets as stored.
///
/// # Errors
/// [`Error::Usage`] for an argument that is not `CODE:ISSUER`; nothing is added then.
pub async fn add_assets(config: &Config, assets: &[String]) -> Result<Vec<KnownAsset>> {
    let parsed = assets.iter().map(|asset| parse(asset)).collect::<Result<Vec<_>>>()?;
    let mut client = connect(&config.database).await?;
    Settings::checked(&client, config).await?;
    let tx = begin(&mut client).await?;
    let (mut contracts, mut types, mut codes, mut issuers) = (vec![], vec![], vec![], vec![]);
    for Parsed { asset, code, issuer } in parsed {
        contracts.push(config.network.asset_contract(&asset)?);
        types.push(asset_type(&asset));
        codes.push(code);
        issuers.push(issuer);
    }
    tx.execute("select contract_data.add_assets($1, $2, $3, $4)", &[&contracts, &types, &codes, &issuers])
        .await
        .database("add the assets")?;
    commit(tx, "add the assets").await?;
    let known = list_assets(config).await?;
    let added: Vec<KnownAsset> =
        known.into_iter().filter(|asset| contracts.contains(&asset.contract_id)).collect();
    if added.len() < contracts.len() {
        // COMMIT answers Ok for an aborted transaction
        return Err(Error::Unexpected("the assets were not stored".to_owned()));
    }
    Ok(added)
}

/// All known assets, by code.
///
/// # Errors
/// [`Error::Database`], [`Error::Schema`].
pub async fn list_assets(config: &Config) -> Result<Vec<KnownAsset>> {
    let client = connect(&config.database).await?;
    Settings::checked(&client, config).await?;
    let rows = client
        .query(
            "select contract_id, asset_type, asset_code, asset_issuer, learnt_from, learnt_at
             from contract_data.contract_assets order by asset_code nulls first, asset_issuer",
            &[],
        )
        .await
        .database("read the assets")?;
    rows.iter()
        .map(|row| {
            Ok(KnownAsset {
                contract_id: get(row, "contract_id")?,
                asset_type: get(row, "asset_type")?,
                asset_code: get(row, "asset_code")?,
                asset_issuer: get(row, "asset_issuer")?,
                learnt_from: get(row, "learnt_from")?,
                learnt_at: get(row, "learnt_at")?,
            })
        })
        .collect()
}

/// A parsed argument.
struct Parsed {
    asset: Asset,
    code: String,
    issuer: String,
}

/// Reads `CODE:ISSUER`.
fn parse(text: &str) -> Result<Parsed> {
    let bad = |problem: &str| Error::Usage(format!("{text:?} is not an asset CODE:ISSUER: {problem}"));
    let (code, issuer) = text.split_once(':').ok_or_else(|| bad("the colon is missing"))?;
    if code.is_empty() || code.len() > 12 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(bad("the code must be 1 to 12 letters and digits"));
    }
    let key = stellar_strkey::ed25519::PublicKey::from_string(issuer)
        .map_err(|_| bad("the issuer must be a strkey G…"))?;
    let account = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key.0)));
    let asset = credit(code, account).ok_or_else(|| bad("the code is 1 to 12 letters and digits"))?;
    Ok(Parsed { asset, code: code.to_owned(), issuer: issuer.to_owned() })
}
